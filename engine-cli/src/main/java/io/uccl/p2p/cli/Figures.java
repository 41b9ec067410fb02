package io.uccl.p2p.cli;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.LinkedHashMap;
import java.util.Map;

/** The fields of a row by the names that csv and json share, in their order. */
final class Figures {

  private Figures() {}

  /**
   * Values are whole numbers, or decimal numbers: rates down to a byte a second, times to a
   * nanosecond.
   */
  static Map<String, BigDecimal> of(Row row) {
    Map<String, BigDecimal> fields = new LinkedHashMap<>();
    fields.put("size", BigDecimal.valueOf(row.shape().size()));
    fields.put("num_iovs", BigDecimal.valueOf(row.shape().numIovs()));
    fields.put("total_bytes", BigDecimal.valueOf(row.shape().totalBytes()));
    fields.put("iters", BigDecimal.valueOf(row.iters()));
    fields.put("gb_s", rounded(row.gbS(), 9));
    fields.put("gb_s_min", rounded(row.gbSMin(), 9));
    fields.put("gb_s_max", rounded(row.gbSMax(), 9));
    fields.put("limit_gb_s", rounded(row.limitGbS(), 9));
    fields.put("share_of_limit", rounded(row.shareOfLimit(), 6));
    fields.put("us_p50", rounded(row.usP50(), 3));
    fields.put("us_p99", rounded(row.usP99(), 3));
    return fields;
  }

  private static BigDecimal rounded(double value, int digits) {
    return BigDecimal.valueOf(value).setScale(digits, RoundingMode.HALF_EVEN);
  }
}
