package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReportTest {

  private static final Report.Heading HEADING =
      new Report.Heading("1.2", "tcp", false, Mode.READ, "raw, \"socket\" copy");

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);

  @Test
  void tableHasTheFiveColumns() {
    TableReport table = new TableReport(out, List.of(1_179_648L));
    table.row(row(1_179_648, 1));
    table.row(row(1_179_648, 128));
    table.end();
    assertThat(lines())
        .containsExactly(
            "num_iovs |  total_bytes |    GB/s | share of limit |         us",
            "       1 |      1179648 |    5.25 |          0.876 |     123.46",
            "     128 |    150994944 |    5.25 |          0.876 |     123.46");
    assertThat(lines().get(0).trim().split("\\s*\\|\\s*"))
        .containsExactly("num_iovs", "total_bytes", "GB/s", "share of limit", "us");
  }

  @Test
  void tableHeadsEachOfSeveralSizes() {
    TableReport table = new TableReport(out, List.of(1000L, 65_536L));
    table.row(row(1000, 1));
    table.row(row(65_536, 1));
    table.row(row(65_536, 2));
    assertThat(lines()).hasSize(8);
    assertThat(lines().get(0)).isEqualTo("size 1000");
    assertThat(lines().get(3)).isEmpty();
    assertThat(lines().get(4)).isEqualTo("size 65536 (64K)");
    assertThat(lines().get(5)).contains("share of limit");
  }

  @Test
  void jsonHasTheFieldsThatScriptsReadInTheirOrder() throws Exception {
    JsonReport json = new JsonReport(out, HEADING);
    json.row(row(1_179_648, 4));
    assertThat(text()).isEmpty();
    json.end();
    JsonNode root = new ObjectMapper().readTree(text());
    assertThat(names(root))
        .containsExactly("version", "transport", "simulated", "mode", "limit", "rows");
    assertThat(root.get("version").asText()).isEqualTo("1.2");
    assertThat(root.get("transport").asText()).isEqualTo("tcp");
    assertThat(root.get("simulated").isBoolean()).isTrue();
    assertThat(root.get("mode").asText()).isEqualTo("read");
    assertThat(root.get("limit").get("name").asText()).isEqualTo("raw, \"socket\" copy");
    assertThat(names(root.get("limit"))).containsExactly("name", "variant");
    assertThat(root.get("limit").get("variant")).hasSize(1);
    assertThat(root.get("limit").get("variant").get(0).asText()).isEqualTo("spinning");
    assertThat(root.get("rows")).hasSize(1);
    JsonNode row = root.get("rows").get(0);
    assertThat(names(row))
        .containsExactly(
            "size",
            "num_iovs",
            "total_bytes",
            "iters",
            "gb_s",
            "gb_s_min",
            "gb_s_max",
            "limit_gb_s",
            "share_of_limit",
            "us_p50",
            "us_p99");
    assertThat(row.get("size").longValue()).isEqualTo(1_179_648);
    assertThat(row.get("num_iovs").intValue()).isEqualTo(4);
    assertThat(row.get("total_bytes").longValue()).isEqualTo(4_718_592);
    assertThat(row.get("iters").intValue()).isEqualTo(16);
    assertThat(row.get("gb_s").doubleValue()).isEqualTo(5.25);
    assertThat(row.get("gb_s_min").doubleValue()).isEqualTo(4);
    assertThat(row.get("gb_s_max").doubleValue()).isEqualTo(6.5);
    assertThat(row.get("limit_gb_s").doubleValue()).isEqualTo(6);
    assertThat(row.get("share_of_limit").doubleValue()).isEqualTo(0.875556);
    assertThat(row.get("us_p50").doubleValue()).isEqualTo(123.456);
    assertThat(row.get("us_p99").doubleValue()).isEqualTo(234.5);
  }

  @Test
  void csvHasTheSameNamesAndQuotesWhatNeedsIt() {
    CsvReport csv = new CsvReport(out, HEADING);
    csv.row(row(64, 1));
    csv.row(row(64, 2));
    csv.end();
    assertThat(lines()).hasSize(3);
    assertThat(lines().get(0))
        .isEqualTo(
            "version,transport,simulated,mode,limit,size,num_iovs,total_bytes,iters,gb_s,gb_s_min,"
                + "gb_s_max,limit_gb_s,share_of_limit,us_p50,us_p99");
    assertThat(lines().get(1))
        .isEqualTo(
            "1.2,tcp,false,read,\"raw, \"\"socket\"\" copy\",64,1,64,16,5.250000000,4.000000000,6.500000000,"
                + "6.000000000,0.875556,123.456,234.500");
  }

  @Test
  void nixlbenchPrintsItsColumnsByItsDefinitions() {
    Durations preparing = durations(1_000, 3_000);
    Durations posting = durations(2_000, 2_000);
    Durations moving = durations(10_000, 22_000);
    new NixlbenchReport(out).row(new Shape(1000, 4), preparing, posting, moving);
    assertThat(lines().get(0).split("\\s{2,}"))
        .containsExactly(
            "Block Size (B)",
            "Batch Size",
            "B/W (GB/Sec)",
            "Avg Lat. (us)",
            "Avg Prep (us)",
            "P99 Prep (us)",
            "Avg Post (us)",
            "P99 Post (us)",
            "Avg Tx (us)",
            "P99 Tx (us)");
    // 1000 x 4 x 2 bytes in 40 us; 40 us over 2 x 4 blocks.
    assertThat(lines().get(1).split("\\s+"))
        .containsExactly(
            "1000", "4", "0.200000", "5.0", "2.0", "3.0", "2.0", "2.0", "16.0", "22.0");
  }

  private static Durations durations(long... nanos) {
    Durations durations = new Durations();
    for (long each : nanos) {
      durations.add(each);
    }
    return durations;
  }

  private static Row row(long size, int numIovs) {
    return new Row(
        new Shape(size, numIovs), Variant.SPINNING, 16, 5.25, 4, 6.5, 6, 0.8755556, 123.456, 234.5);
  }

  private static List<String> names(JsonNode node) {
    List<String> names = new ArrayList<>();
    node.fieldNames().forEachRemaining(names::add);
    return names;
  }

  private String text() {
    return bytes.toString(StandardCharsets.UTF_8);
  }

  private List<String> lines() {
    return text().lines().toList();
  }
}
