package io.uccl.p2p.cli;

import io.uccl.p2p.Connection;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.cli.BenchMessage.Invitation;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/** The process that measures: goes through all rows with a server that it is connected to. */
final class BenchClient {

  private final Console console;
  private final BenchOptions options;
  private final P2pEngine engine;
  private final Connection server;

  BenchClient(Console console, BenchOptions options, P2pEngine engine, Connection server) {
    this.console = console;
    this.options = options;
    this.engine = engine;
    this.server = server;
  }

  /** Measures and reports every row, then tells the server that it is done. */
  void measure(Report report) throws IOException, InterruptedException {
    BenchLink link = new BenchLink(engine, server);
    long bytes = options.largestFootprint();
    link.send(BenchMessage.open(bytes));
    try (MemoryRegion local = BenchMemory.open(engine, bytes)) {
      FifoDescriptor remote = BenchMessage.descriptor(link.receive(BenchMessage.DESCRIPTOR));
      Invitation invitation = BenchMessage.limit(link.receive(BenchMessage.LIMIT));
      InetSocketAddress address =
          new InetSocketAddress(server.remote().address(), invitation.port());
      Footprint memory = Footprint.of(local);
      Checker checker = options.check ? new Checker(link, memory, options.mode) : null;
      try (RawCopy limit = RawCopy.connect(address, invitation.token(), memory)) {
        RowMeter meter = new RowMeter(options.pairs, options.seconds, options.iters);
        for (long size : options.sizes.bytes()) {
          for (int numIovs : options.numIovs.values()) {
            row(meter, new Shape(size, numIovs), local, remote, limit, checker, report);
          }
        }
      }
    }
    report.end();
    link.finish();
  }

  private void row(
      RowMeter meter,
      Shape shape,
      MemoryRegion local,
      FifoDescriptor remote,
      RawCopy limit,
      @Nullable Checker checker,
      Report report)
      throws IOException, InterruptedException {
    boolean inParts = options.layout == BenchOptions.Layout.NIXLBENCH;
    Progress progress = new Progress(console);
    String what = shape.numIovs() + " x " + Sizes.label(shape.size());
    try (EngineCalls calls =
        new EngineCalls(
            server, local, remote, shape, options.mode, options.asyncApi, inParts, checker)) {
      progress.show(what + ": warming up");
      RowMeter.Limit better =
          meter.better(
              calls,
              limit.side(shape, options.mode, Variant.BLOCKING),
              limit.side(shape, options.mode, Variant.SPINNING));
      calls.forget();
      List<Row.Pair> pairs =
          meter.measure(
              calls,
              better.side(),
              pair -> progress.show(what + ": pair " + pair + " of " + options.pairs));
      progress.clear();
      report.row(row(shape, better.variant(), pairs, calls.latencies()), calls);
    } finally {
      progress.clear();
    }
  }

  private Row row(Shape shape, Variant variant, List<Row.Pair> pairs, Histogram nanos) {
    return Row.of(
        shape,
        variant,
        options.iters,
        pairs,
        nanos.getValueAtPercentile(50) / 1e3,
        nanos.getValueAtPercentile(99) / 1e3);
  }
}
