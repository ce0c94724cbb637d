/** The one record of its kind. */
export const settingsId = 'settings';
