/** A JSON value kept in sessionStorage: it outlives a reload of the page but not its window. */
export class Saved<T> {
  constructor(private readonly key: string) {}

  load(): T | null {
    const text = sessionStorage.getItem(this.key);
    if (text === null) return null;
    try {
      return JSON.parse(text) as T;
    } catch {
      sessionStorage.removeItem(this.key);
      return null;
    }
  }

  save(value: T): void {
    sessionStorage.setItem(this.key, JSON.stringify(value));
  }

  clear(): void {
    sessionStorage.removeItem(this.key);
  }
}
