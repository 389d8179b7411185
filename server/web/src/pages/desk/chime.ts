/** Two soft notes for a new waiting shopper. */
export class Chime {
  private context: AudioContext | null = null;

  /** Browsers allow sound only after a gesture: call this from one. */
  enable(): void {
    this.context ??= new AudioContext();
    void this.context.resume();
  }

  ring(): void {
    this.enable();
    const context = this.context;
    if (context === null || context.state !== 'running') return;
    [659, 880].forEach((frequency, index) => {
      const start = context.currentTime + index * 0.18;
      const tone = context.createOscillator();
      const gain = context.createGain();
      tone.frequency.value = frequency;
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.16, start + 0.02);
      gain.gain.exponentialRampToValueAtTime(0.001, start + 0.6);
      tone.connect(gain).connect(context.destination);
      tone.start(start);
      tone.stop(start + 0.6);
    });
  }
}
