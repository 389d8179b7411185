import { defineConfig } from 'vitest/config';
import { land } from './build/land.ts';

// The pages talk to the server that serves them; in development that server is reached by proxy.
const server = process.env.TRADEWIND_URL ?? 'http://localhost:7880';

export default defineConfig({
  plugins: [land()],
  build: {
    target: 'es2022',
    // Every asset stays a file, so that the content security policy needs no data: sources.
    assetsInlineLimit: 0,
    // livekit-client, which cannot be split, is most of the largest chunk.
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ['index.html', 'call.html', 'desk.html', 'operator.html'] },
  },
  server: { proxy: { '/v1': server, '/healthz': server, '/metrics': server } },
  test: { include: ['src/**/*.test.ts'] },
});
