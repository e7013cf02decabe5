import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

const noEnvironment = {
  selector: "MemberExpression[object.name='process'][property.name='env']",
  message: 'Only src/config reads the environment: declare a setting there.',
}
const noExit = {
  selector: "CallExpression[callee.object.name='process'][callee.property.name='exit']",
  message: 'Return or throw, so that everything owned is closed; only src/main.ts ends the process.',
}
const noHttpImport = {
  selector: "ImportDeclaration[source.value='node:http'][importKind='value']",
  message: 'Import values from src/common/node-http.ts, which says why, and types by `import type`.',
}

export default defineConfig(
  globalIgnores(['dist/', 'build/', 'coverage/', 'test/fixtures/']),
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  { files: ['src/**'], rules: { 'no-restricted-syntax': ['error', noEnvironment, noExit, noHttpImport] } },
  { files: ['src/config/**'], rules: { 'no-restricted-syntax': ['error', noExit, noHttpImport] } },
  { files: ['src/main.ts'], rules: { 'no-restricted-syntax': 'off' } },
  { files: ['lab/**', 'demo/**', 'bench/**', 'scripts/**', 'test/**'], rules: { 'no-console': 'off' } },
  {
    files: ['test/**'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'off',
    },
  },
  { files: ['**/*.js', '**/*.mjs', '**/*.cjs'], extends: [tseslint.configs.disableTypeChecked] },
)
