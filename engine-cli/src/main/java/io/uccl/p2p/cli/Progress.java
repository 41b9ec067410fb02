package io.uccl.p2p.cli;

/** One line on stderr that is written over and over, if a person watches. */
final class Progress {

  private static final String ERASE_LINE = "\r\u001b[K";

  private final Console console;

  Progress(Console console) {
    this.console = console;
  }

  void show(String text) {
    if (console.errIsTerminal()) {
      console.err().print(ERASE_LINE + text);
      console.err().flush();
    }
  }

  /** Takes the line away, before something else is printed. */
  void clear() {
    show("");
  }
}
