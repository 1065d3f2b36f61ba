import js from '@eslint/js';
import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/** What each room may import: the directions of docs/architecture.md, and nothing else. */
const rooms = {
  events: [],
  records: [],
  procfs: [],
  containers: ['procfs', 'service'],
  capture: ['records'],
  service: [],
  bus: ['events'],
  stream: ['events', 'bus'],
  client: ['events', 'bus', 'stream'],
  testkit: ['events', 'records', 'bus', 'stream', 'client', 'procfs', 'containers'],
};

const libs = Object.keys(rooms).filter((room) => room !== 'testkit');
const constraint = (tag, allowed) => ({ sourceTag: tag, onlyDependOnLibsWithTags: allowed });

/** Third-party modules with one home: everybody else goes through that room. */
const homes = [
  { module: 'nats', home: 'libs/bus', instead: '@netstatd/bus' },
  { module: '@grpc/grpc-js', home: 'libs/containers', instead: '@netstatd/containers' },
  { module: 'pino', home: 'libs/service', instead: '@netstatd/service' },
  { module: 'prom-client', home: 'libs/service', instead: '@netstatd/service' },
];
const restricted = (owner) => ({
  'no-restricted-imports': [
    'error',
    {
      paths: homes
        .filter(({ home }) => home !== owner)
        .map(({ module, instead }) => ({ name: module, message: `Use ${instead} instead.` })),
    },
  ],
});

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      '**/.output/**',
      '**/coverage/**',
      '**/*.js',
      '**/*.mjs',
      '**/generated/**',
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  prettier,
  {
    files: ['**/*.ts', '**/*.tsx'],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        {
          enforceBuildableLibDependency: false,
          depConstraints: [
            constraint(
              'type:app',
              libs.map((room) => `room:${room}`),
            ),
            constraint(
              'type:bench',
              [...libs, 'testkit'].map((room) => `room:${room}`),
            ),
            ...Object.entries(rooms).map(([room, below]) =>
              constraint(
                `room:${room}`,
                below.map((lower) => `room:${lower}`),
              ),
            ),
          ],
        },
      ],
      ...restricted(undefined),
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  ...homes.map(({ home }) => ({ files: [`${home}/**/*.ts`], rules: restricted(home) })),
  {
    files: ['**/*.spec.ts', '**/*.e2e.ts', 'libs/testkit/**/*.ts'],
    rules: {
      '@nx/enforce-module-boundaries': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      'max-lines': ['error', { max: 600, skipBlankLines: true, skipComments: true }],
    },
  },
);
