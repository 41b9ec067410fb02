/* Domains: what is opened in one, and the settings of cxi that decide whether a close revokes. */
#include "sim.h"

#include <rdma/fi_cxi_ext.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct sim_domain *domain_of(struct fid *fid) {
  return sim_container(fid, struct sim_domain, fid.fid);
}

static int domain_close(struct fid *fid) {
  struct sim_domain *domain = domain_of(fid);
  if (atomic_load(&domain->users) != 0) {
    return -FI_EBUSY;
  }
  fi_close(&domain->inner->fid);
  fi_freeinfo(domain->inner_info);
  sim_registry_close(&domain->registry);
  pthread_mutex_destroy(&domain->lock);
  atomic_fetch_sub(&domain->fabric->users, 1);
  sim_count(SIM_DOMAINS, -1);
  free(domain);
  return 0;
}

/* FI_CXI_SIM_OLD=1: a library from before these settings. */
static bool is_old(void) { return sim_environment_flag("FI_CXI_SIM_OLD", false); }

static int set_locked(struct sim_domain *domain, bool *setting, bool needs_provider_keys,
                      bool value) {
  if (needs_provider_keys && !domain->provider_keys) {
    return -FI_EINVAL;
  }
  *setting = value;
  return 0;
}

static int control_locked(struct sim_domain *domain, int command, bool *value) {
  switch (command) {
    case FI_OPT_CXI_SET_MR_MATCH_EVENTS:
      return set_locked(domain, &domain->match_events, false, *value);
    case FI_OPT_CXI_GET_MR_MATCH_EVENTS:
      *value = domain->match_events;
      return 0;
    case FI_OPT_CXI_SET_OPTIMIZED_MRS:
      return set_locked(domain, &domain->optimized, true, *value);
    case FI_OPT_CXI_GET_OPTIMIZED_MRS:
      *value = domain->optimized;
      return 0;
    case FI_OPT_CXI_SET_PROV_KEY_CACHE:
      return set_locked(domain, &domain->key_cache, true, *value);
    case FI_OPT_CXI_GET_PROV_KEY_CACHE:
      *value = domain->key_cache;
      return 0;
    default:
      return -FI_EINVAL;
  }
}

static int domain_control(struct fid *fid, int command, void *arg) {
  struct sim_domain *domain = domain_of(fid);
  if (arg == NULL || is_old()) {
    return -FI_EINVAL;
  }
  pthread_mutex_lock(&domain->lock);
  int status = control_locked(domain, command, arg);
  pthread_mutex_unlock(&domain->lock);
  return status;
}

/* --- the operations of fi_cxi_ext.h --- */

static int enable_hybrid_descriptors(struct fid *fid, bool enable) {
  if (fid->fclass != FI_CLASS_DOMAIN) {
    return -FI_EINVAL;
  }
  struct sim_domain *domain = domain_of(fid);
  pthread_mutex_lock(&domain->lock);
  domain->hybrid_descriptors = enable;
  pthread_mutex_unlock(&domain->lock);
  return 0;
}

static int enable_match_events(struct fid *fid, bool enable) {
  return domain_control(fid, FI_OPT_CXI_SET_MR_MATCH_EVENTS, &enable);
}

static int enable_optimized(struct fid *fid, bool enable) {
  return domain_control(fid, FI_OPT_CXI_SET_OPTIMIZED_MRS, &enable);
}

static int no_counter_read(struct fid *fid, unsigned int counter, uint64_t *value,
                           struct timespec *ts) {
  (void)fid;
  (void)counter;
  (void)value;
  (void)ts;
  return -FI_ENOSYS;
}

static int no_topology(struct fid *fid, unsigned int *group, unsigned int *switch_id,
                       unsigned int *port) {
  (void)fid;
  (void)group;
  (void)switch_id;
  (void)port;
  return -FI_ENOSYS;
}

static size_t no_unexpected_messages(struct fid_ep *fid, struct fi_cq_tagged_entry *entry,
                                     size_t count, fi_addr_t *from, size_t *unexpected) {
  (void)fid;
  (void)entry;
  (void)count;
  (void)from;
  *unexpected = 0;
  return 0;
}

static int no_deferred_work(struct fid *fid, size_t *depth) {
  (void)fid;
  *depth = 0;
  return 0;
}

static struct fi_cxi_dom_ops extension = {
    .cntr_read = no_counter_read,
    .topology = no_topology,
    .enable_hybrid_mr_desc = enable_hybrid_descriptors,
    .ep_get_unexp_msgs = no_unexpected_messages,
    .get_dwq_depth = no_deferred_work,
    .enable_mr_match_events = enable_match_events,
    .enable_optimized_mrs = enable_optimized,
};

static int domain_ops_open(struct fid *fid, const char *name, uint64_t flags, void **ops,
                           void *context) {
  (void)fid;
  (void)flags;
  (void)context;
  static const char *const versions[] = {FI_CXI_DOM_OPS_1, FI_CXI_DOM_OPS_2, FI_CXI_DOM_OPS_3,
                                         FI_CXI_DOM_OPS_4, FI_CXI_DOM_OPS_5, FI_CXI_DOM_OPS_6};
  if (is_old()) {
    return -FI_EINVAL;
  }
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    if (strcmp(name, versions[i]) == 0) {
      *ops = &extension;
      return 0;
    }
  }
  return -FI_EINVAL;
}

/* --- what cxi has and this does not --- */

static int no_scalable_endpoint(struct fid_domain *domain, struct fi_info *info,
                                struct fid_ep **ep, void *context) {
  (void)domain;
  (void)info;
  (void)ep;
  (void)context;
  return -FI_ENOSYS;
}

static int no_counter(struct fid_domain *domain, struct fi_cntr_attr *attr,
                      struct fid_cntr **counter, void *context) {
  (void)domain;
  (void)attr;
  (void)counter;
  (void)context;
  return -FI_ENOSYS;
}

static int no_poll_set(struct fid_domain *domain, struct fi_poll_attr *attr,
                       struct fid_poll **set) {
  (void)domain;
  (void)attr;
  (void)set;
  return -FI_ENOSYS;
}

static int no_shared_tx(struct fid_domain *domain, struct fi_tx_attr *attr, struct fid_stx **stx,
                        void *context) {
  (void)domain;
  (void)attr;
  (void)stx;
  (void)context;
  return -FI_ENOSYS;
}

static int no_shared_rx(struct fid_domain *domain, struct fi_rx_attr *attr, struct fid_ep **ep,
                        void *context) {
  (void)domain;
  (void)attr;
  (void)ep;
  (void)context;
  return -FI_ENOSYS;
}

static struct fi_ops domain_fid_ops = {
    .size = sizeof(struct fi_ops),
    .close = domain_close,
    .bind = sim_no_bind,
    .control = domain_control,
    .ops_open = domain_ops_open,
};

static struct fi_ops_domain domain_ops = {
    .size = sizeof(struct fi_ops_domain),
    .av_open = sim_av_open,
    .cq_open = sim_cq_open,
    .endpoint = sim_endpoint_open,
    .scalable_ep = no_scalable_endpoint,
    .cntr_open = no_counter,
    .poll_open = no_poll_set,
    .stx_ctx = no_shared_tx,
    .srx_ctx = no_shared_rx,
};

/* libfabric's MR cache is off only when it is told so: its monitors are on by default. */
static bool cache_is_on(void) {
  const char *monitor = getenv("FI_MR_CACHE_MONITOR");
  return monitor == NULL || strcasecmp(monitor, "disabled") != 0;
}

int sim_domain_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **domain,
                    void *context) {
  const struct fi_domain_attr *attr = info->domain_attr;
  int index = sim_domain_index(attr->name);
  if (index < 0) {
    return -FI_ENODEV;
  }
  if (attr->threading == FI_THREAD_ENDPOINT || attr->threading == FI_THREAD_FID) {
    return -FI_EINVAL;
  }
  struct sim_domain *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return -FI_ENOMEM;
  }
  made->fabric = sim_container(fabric, struct sim_fabric, fid);
  int status = sim_registry_open(&made->registry);
  if (status == 0) {
    made->inner_info = fi_dupinfo(made->fabric->inner_info);
    status = made->inner_info == NULL
                 ? -FI_ENOMEM
                 : fi_domain(made->fabric->inner, made->inner_info, &made->inner, NULL);
  }
  if (status != 0) {
    fi_freeinfo(made->inner_info);
    sim_registry_close(&made->registry);
    free(made);
    return status;
  }
  made->fid.fid =
      (struct fid){.fclass = FI_CLASS_DOMAIN, .context = context, .ops = &domain_fid_ops};
  made->fid.ops = &domain_ops;
  made->fid.mr = &sim_mr_ops;
  made->index = (unsigned)index;
  made->provider_keys = (attr->mr_mode & FI_MR_PROV_KEY) != 0;
  made->hmem = (info->caps & FI_HMEM) != 0;
  made->cache = cache_is_on();
  made->match_events = sim_environment_flag("FI_CXI_MR_MATCH_EVENTS", false);
  made->optimized = sim_environment_flag("FI_CXI_OPTIMIZED_MRS", true);
  made->key_cache = sim_environment_flag("FI_CXI_PROV_KEY_CACHE", true);
  pthread_mutex_init(&made->lock, NULL);
  atomic_fetch_add(&made->fabric->users, 1);
  sim_count(SIM_DOMAINS, 1);
  *domain = &made->fid;
  return 0;
}
