/* The entry point: libfabric calls it when it finds libcxi-fi.so in a folder of FI_PROVIDER_PATH. */
#include "sim.h"

#include <rdma/providers/fi_prov.h>

static void clean_up(void) {}

static struct fi_provider provider = {
    .name = "cxi",
    .version = FI_VERSION(0, 1),
    .fi_version = FI_VERSION(2, 1),
    .getinfo = sim_getinfo,
    .fabric = sim_fabric_open,
    .cleanup = clean_up,
};

struct fi_provider *fi_prov_ini(void);

/* Nothing of libfabric may be called in here: it holds a lock of its own. */
__attribute__((visibility("default"))) struct fi_provider *fi_prov_ini(void) {
  sim_counts_set_up();
  return &provider;
}
