/** Borders of the terminal: app -> features -> shared, features are islands. */
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'features-are-islands',
      comment: 'A room never imports another room; what two rooms need lives in shared.',
      severity: 'error',
      from: { path: '^src/features/([^/]+)/' },
      to: { path: '^src/features/', pathNot: '^src/features/$1/' },
    },
    { name: 'features-below-app', severity: 'error', from: { path: '^src/features/' }, to: { path: '^src/app/' } },
    {
      name: 'shared-at-the-bottom',
      severity: 'error',
      from: { path: '^src/shared/' },
      to: { path: '^src/(app|features)/' },
    },
    {
      name: 'ui-knows-no-server',
      comment: 'Components of shared/ui take values; only shared/market and the rooms ask the server.',
      severity: 'error',
      from: { path: '^src/shared/ui/', pathNot: '\\.test\\.' },
      to: { path: '^src/shared/(api/(client|queries)|net)' },
    },
    {
      name: 'no-test-code',
      severity: 'error',
      from: { pathNot: '\\.test\\.tsx?$|^src/test/' },
      to: { path: '^src/test/|\\.test\\.' },
    },
    {
      name: 'only-declared-packages',
      severity: 'error',
      from: { path: '^src', pathNot: '\\.test\\.tsx?$|^src/test/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'],
        pathNot: '\\.(css|woff2)',
      },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.app.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'browser', 'default'] },
  },
};
