import type { Message } from "./protocol";

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 4000;

export interface Listener {
  opened(): void;
  closed(retryMs: number): void;
  message(message: Message): void;
  frame(data: ArrayBuffer): void;
}

/** A socket to the server that this page came from, opened again whenever it breaks. */
export class Connection {
  private socket: WebSocket | null = null;
  private retryMs = FIRST_RETRY_MS;

  constructor(private readonly listener: Listener) {
    this.open();
  }

  /** Sends a command; false while there is no connection. */
  send(command: string, value?: string | number): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(value === undefined ? { command } : { command, value }));
    return true;
  }

  private open(): void {
    const socket = new WebSocket(socketAddress());
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.listener.opened();
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.listener.frame(data);
      else this.listener.message(JSON.parse(data as string) as Message);
    };
    socket.onclose = () => {
      // Spread out, so that many viewers do not return in the same instant.
      const wait = this.retryMs * (0.75 + 0.5 * Math.random());
      this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
      this.listener.closed(wait);
      setTimeout(() => this.open(), wait);
    };
    this.socket = socket;
  }
}

function socketAddress(): string {
  const address = new URL("ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const token = new URLSearchParams(location.search).get("token");
  address.search = token ? `?token=${encodeURIComponent(token)}` : "";
  return address.href;
}
