module.exports = {
  ...require('../../../jest.preset.js'),
  displayName: 'kernels',
  testMatch: ['<rootDir>/*.spec.ts'],
};
