/** Tests of the whole, on the real kernel: `netstatd up` as it was built, one file after the other. */
module.exports = {
  ...require('../../jest.preset.js'),
  displayName: 'e2e',
  testMatch: ['<rootDir>/e2e/**/*.e2e.ts'],
  testTimeout: 120_000,
};
