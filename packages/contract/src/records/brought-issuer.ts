/** The issuer of brought certificates, which no issuer can be named. */
export const broughtIssuer = 'brought';
