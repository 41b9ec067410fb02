package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.spi.nativelib.CudaMemory;
import io.uccl.p2p.spi.nativelib.OffHeap;
import java.net.InetAddress;
import java.util.List;
import java.util.Map;

/** What endpoints are opened with; {@code p2p_cxi.h} draws it as {@code struct p2p_cxi_opening}. */
final class CxiOpening {

  private static final int LIBRARY = 0;
  private static final int PROVIDER = 512;
  private static final int DOMAIN = 576;
  private static final int SOURCE = 640;
  private static final int THREADING = 704;
  private static final int TRANSMIT_DEPTH = 708;
  private static final int RECEIVE_DEPTH = 712;
  private static final int COMPLETION_DEPTH = 716;
  private static final int GPU_MEMORY = 720;
  private static final int BYTES = 728;

  /** In the order of libfabric's enum fi_threading. */
  private static final List<String> THREADING_MODELS =
      List.of("unspec", "safe", "fid", "domain", "completion", "endpoint");

  private final OffHeap bytes = new OffHeap(BYTES);
  private final String provider;
  private final String threading;

  /**
   * Fills in what the environment says.
   *
   * @param gpuIndex the GPU that the engine works for
   * @param source where peers on this machine's network reach the process, for providers over IP
   * @throws ConfigurationException if a value is too long
   */
  CxiOpening(Map<String, String> environment, int gpuIndex, InetAddress source) {
    provider = CxiSettings.PROVIDER.in(environment);
    threading = CxiSettings.THREADING.in(environment);
    put(LIBRARY, PROVIDER, "UCCL_LIBFABRIC_SO", CxiSettings.LIBFABRIC.in(environment));
    put(PROVIDER, DOMAIN, "UCCL_CXI_PROVIDER", provider);
    put(DOMAIN, SOURCE, "UCCL_CXI_DOMAIN", domain(environment, gpuIndex));
    if (!isCxi()) {
      put(SOURCE, THREADING, "UCCL_SOCKET_IFNAME", source.getHostAddress());
    }
    bytes.putInt(THREADING, THREADING_MODELS.indexOf(threading));
    bytes.putInt(TRANSMIT_DEPTH, CxiSettings.TX_QUEUE_SIZE.in(environment));
    bytes.putInt(RECEIVE_DEPTH, CxiSettings.RX_QUEUE_SIZE.in(environment));
    bytes.putInt(COMPLETION_DEPTH, CxiSettings.CQ_SIZE.in(environment));
    bytes.putInt(GPU_MEMORY, CudaMemory.isPossible() ? 1 : 0);
  }

  private void put(int offset, int end, String variable, String value) {
    if (!bytes.putText(offset, end - offset, value)) {
      throw new ConfigurationException(
          variable + " is longer than " + (end - offset - 1) + " bytes: " + value,
          FailureDetail.remedy("Give a shorter one"));
    }
  }

  /** Other providers have no names that could be guessed: any domain will do. */
  private String domain(Map<String, String> environment, int gpuIndex) {
    String domain = CxiSettings.DOMAIN.in(environment);
    return domain.isEmpty() && isCxi()
        ? "cxi" + CxiSettings.DEVICE_INDEX.in(environment).orElse(gpuIndex % CxiSettings.NICS)
        : domain;
  }

  /** Names the library for {@code dlopen}. */
  void library(String pathOrName) {
    put(LIBRARY, PROVIDER, "UCCL_LIBFABRIC_SO", pathOrName);
  }

  boolean namesLibrary() {
    return bytes.getInt(LIBRARY) != 0;
  }

  long address() {
    return bytes.address();
  }

  String provider() {
    return provider;
  }

  boolean isCxi() {
    return provider.equals("cxi");
  }

  /**
   * Whether a refused operation fails alone. It does on cxi. Providers over messages, such as tcp
   * and ofi_rxm, end the connection that carried it, with all that was under way there; which ones
   * do not, libfabric cannot say.
   */
  boolean refusesAlone() {
    return isCxi() || provider.equals("sockets");
  }

  /** Whether only one thread at a time may be in libfabric. */
  boolean isSerial() {
    return !threading.equals("safe");
  }

  String threading() {
    return threading;
  }

  /** Empty: any. */
  String domain() {
    return bytes.getText(DOMAIN, SOURCE - DOMAIN);
  }
}
