import { type Address, AppError } from '@lockstep/contract';

export interface Ports {
  edges: number;
  port: number;
  httpsPort: number;
  httpPort: number;
  adminPort: number;
}

/** A port that `up` is about to listen on, and the flag that moves it. */
export interface Listener {
  what: string;
  address: Address;
  flag: string;
}

export interface AddressPlan {
  api: Address;
  edges: { node: string; https: Address; http: Address; admin: Address }[];
  listeners: Listener[];
}

const loopback = '127.0.0.1';
const highestPort = 65_535;

/** Deals each edge its ports. Throws `bad_configuration` when ranges meet or leave the ports there are. */
export function planAddresses({ edges, port, httpsPort, httpPort, adminPort }: Ports): AddressPlan {
  const listeners: Listener[] = [];
  const deal = (what: string, flag: string, portNumber: number): Address => {
    const address = { host: loopback, port: portNumber };
    if (portNumber > highestPort) {
      throw new AppError(
        'bad_configuration',
        `${what} would get port ${portNumber}, and ports end at ${highestPort}; choose a lower ${flag}`,
      );
    }
    const other = listeners.find((listener) => listener.address.port === portNumber);
    if (other !== undefined) {
      throw new AppError(
        'bad_configuration',
        `${other.what} and ${what} would both get port ${portNumber}; choose another ${flag} or ${other.flag}`,
      );
    }
    listeners.push({ what, flag, address });
    return address;
  };
  return {
    api: deal('the API', '--port', port),
    edges: Array.from({ length: edges }, (_, index) => {
      const node = `edge-${index + 1}`;
      return {
        node,
        https: deal(`HTTPS of ${node}`, '--https-port', httpsPort + index),
        http: deal(`HTTP of ${node}`, '--http-port', httpPort + index),
        admin: deal(`the admin port of ${node}`, '--admin-port', adminPort + index),
      };
    }),
    listeners,
  };
}
