// The clock of the page: one tick a second for all that counts time.

class Now {
  unix = $state(Math.floor(Date.now() / 1000));

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.unix = Math.floor(Date.now() / 1000);
    }, 1_000);
  }
}

export const now = new Now();
