/** As `Allow` has them, of what the edge answers itself. */
export const allowedMethods = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';
