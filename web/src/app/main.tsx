import '@/shared/theme/fonts.css';
import '@/shared/theme/tokens.css';
import '@/shared/theme/base.css';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { followSystemTheme } from '@/shared/theme/look';
import { makeRouter } from './router';

followSystemTheme();

const client = new QueryClient({
  // The platform is on the same machine or network; "offline" of the browser says nothing about it.
  defaultOptions: { queries: { networkMode: 'always', refetchOnWindowFocus: false, retry: 2 } },
});
const root = document.getElementById('root');
if (!root) throw new Error('the page has no #root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={makeRouter(client)} />
    </QueryClientProvider>
  </StrictMode>,
);
