package io.uccl.p2p.cli;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.LinkedHashMap;
import java.util.Map;

/** The fields of a row by the names that csv and json share, in their order. */
final class Figures {

  private Figures() {}

  /** Values are whole numbers, or decimal numbers of at most six digits behind the point. */
  static Map<String, BigDecimal> of(Row row) {
    Map<String, BigDecimal> fields = new LinkedHashMap<>();
    fields.put("size", BigDecimal.valueOf(row.shape().size()));
    fields.put("num_iovs", BigDecimal.valueOf(row.shape().numIovs()));
    fields.put("total_bytes", BigDecimal.valueOf(row.shape().totalBytes()));
    fields.put("iters", BigDecimal.valueOf(row.iters()));
    fields.put("gb_s", rounded(row.gbS()));
    fields.put("gb_s_min", rounded(row.gbSMin()));
    fields.put("gb_s_max", rounded(row.gbSMax()));
    fields.put("limit_gb_s", rounded(row.limitGbS()));
    fields.put("share_of_limit", rounded(row.shareOfLimit()));
    fields.put("us_p50", rounded(row.usP50()));
    fields.put("us_p99", rounded(row.usP99()));
    return fields;
  }

  private static BigDecimal rounded(double value) {
    return BigDecimal.valueOf(value).setScale(6, RoundingMode.HALF_EVEN);
  }
}
