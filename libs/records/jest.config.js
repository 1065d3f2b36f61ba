module.exports = { ...require('../../jest.preset.js'), displayName: 'records' };
