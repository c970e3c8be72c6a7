/** Time that only goes forward, injected so that tests can set it. */

export type Clock = () => number;
