import { render, screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import { About } from './About';
import { LIGHTWEIGHT_CHARTS_NOTICE } from './notice';

it('shows the notice that lightweight-charts asks for, and links its maker', () => {
  render(<About version="0.1.0" />);
  expect(screen.getByTestId('charts-notice')).toHaveTextContent('TradingView Lightweight Charts');
  expect(LIGHTWEIGHT_CHARTS_NOTICE).toMatch(
    /^TradingView Lightweight Charts\nCopyright .* TradingView, Inc\. https:\/\/www\.tradingview\.com\/$/,
  );
  expect(screen.getByRole('link', { name: 'TradingView' })).toHaveAttribute('href', 'https://www.tradingview.com/');
});

it('leads to the notices of all third parties', () => {
  render(<About version={null} />);
  expect(screen.getByRole('link', { name: /Notices and licences/ })).toHaveAttribute(
    'href',
    '/THIRD-PARTY-NOTICES.txt',
  );
});
