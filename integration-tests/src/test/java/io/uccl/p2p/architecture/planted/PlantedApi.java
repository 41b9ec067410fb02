package io.uccl.p2p.architecture.planted;

import com.google.common.collect.ImmutableList;
import java.util.Map;

/** An API that shows a library's types, and depends on it. */
public class PlantedApi {

  public ImmutableList<String> list() {
    return hidden();
  }

  protected void nested(Map<String, ImmutableList<Integer>> lists) {
    lists.clear();
  }

  private ImmutableList<String> hidden() {
    return ImmutableList.of();
  }
}
