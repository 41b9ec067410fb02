/* What the provider offers, and which hints it can meet. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages, tags, atomics and collectives, which cxi has, are not simulated: they are refused. */
#define ENDPOINT_CAPS                                                                              \
  (FI_RMA | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE | FI_HMEM | FI_FENCE |           \
   FI_LOCAL_COMM | FI_REMOTE_COMM)
#define TX_CAPS (FI_RMA | FI_READ | FI_WRITE | FI_HMEM | FI_FENCE)
#define RX_CAPS (FI_RMA | FI_REMOTE_READ | FI_REMOTE_WRITE | FI_HMEM)
#define OP_FLAGS                                                                                   \
  (FI_INJECT | FI_COMPLETION | FI_INJECT_COMPLETE | FI_TRANSMIT_COMPLETE | FI_DELIVERY_COMPLETE |  \
   FI_MATCH_COMPLETE | FI_MORE | FI_FENCE)
#define REGION_MODE (FI_MR_ALLOCATED | FI_MR_ENDPOINT)

int sim_domain_index(const char *name) {
  if (name != NULL && strncmp(name, "cxi", 3) == 0 && name[3] >= '0' &&
      name[3] < '0' + SIM_DEVICES && name[4] == '\0') {
    return name[3] - '0';
  }
  return -1;
}

int sim_inner_getinfo(struct fi_info **info) {
  const char *address = getenv("FI_CXI_SIM_ADDRESS");
  struct fi_info *hints = fi_allocinfo();
  if (hints == NULL) {
    return -FI_ENOMEM;
  }
  hints->caps = FI_MSG | FI_SEND | FI_RECV;
  hints->addr_format = FI_SOCKADDR_IN;
  hints->ep_attr->type = FI_EP_RDM;
  /* One thread at a time, by the domain's mutex; no thread of the inner provider's own. */
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
  hints->fabric_attr->prov_name = strdup("tcp");
  int status = hints->fabric_attr->prov_name == NULL
                   ? -FI_ENOMEM
                   : fi_getinfo(FI_VERSION(2, 1), address != NULL ? address : "127.0.0.1", NULL,
                                FI_SOURCE, hints, info);
  fi_freeinfo(hints);
  if (status == -FI_ENODATA && getenv("FI_PROVIDER") != NULL) {
    fprintf(stderr,
            "simulated cxi: no provider tcp, which it is built on: FI_PROVIDER must name both, "
            "cxi,tcp\n");
  }
  return status;
}

static bool threading_is_met(enum fi_threading threading) {
  return threading == FI_THREAD_UNSPEC || threading == FI_THREAD_SAFE ||
         threading == FI_THREAD_COMPLETION || threading == FI_THREAD_DOMAIN;
}

static bool progress_is_met(enum fi_progress progress) {
  return progress == FI_PROGRESS_UNSPEC || progress == FI_PROGRESS_MANUAL;
}

static bool domain_hints_are_met(const struct fi_domain_attr *hints) {
  return hints == NULL ||
         (threading_is_met(hints->threading) && progress_is_met(hints->control_progress) &&
          progress_is_met(hints->data_progress) &&
          (hints->name == NULL || sim_domain_index(hints->name) >= 0));
}

static bool endpoint_hints_are_met(const struct fi_ep_attr *hints) {
  return hints == NULL ||
         ((hints->type == FI_EP_UNSPEC || hints->type == FI_EP_RDM) &&
          (hints->protocol == FI_PROTO_UNSPEC || hints->protocol == FI_PROTO_CXI) &&
          hints->max_msg_size <= SIM_MESSAGE_MOST && hints->tx_ctx_cnt <= 1 &&
          hints->rx_ctx_cnt <= 1);
}

static bool tx_hints_are_met(const struct fi_tx_attr *hints) {
  return hints == NULL ||
         (hints->size <= SIM_TX_MOST && hints->inject_size <= SIM_INJECT && hints->iov_limit <= 1 &&
          hints->rma_iov_limit <= 1 && (hints->caps & ~TX_CAPS) == 0 &&
          (hints->op_flags & ~OP_FLAGS) == 0);
}

static bool rx_hints_are_met(const struct fi_rx_attr *hints) {
  return hints == NULL || (hints->size <= SIM_RX_MOST && hints->iov_limit <= 1 &&
                           (hints->caps & ~RX_CAPS) == 0);
}

static bool hints_are_met(const struct fi_info *hints) {
  return hints == NULL ||
         ((hints->caps & ~ENDPOINT_CAPS) == 0 &&
          (hints->addr_format == FI_FORMAT_UNSPEC || hints->addr_format == FI_ADDR_CXI) &&
          (hints->fabric_attr == NULL || hints->fabric_attr->name == NULL ||
           strcmp(hints->fabric_attr->name, "cxi") == 0) &&
          domain_hints_are_met(hints->domain_attr) && endpoint_hints_are_met(hints->ep_attr) &&
          tx_hints_are_met(hints->tx_attr) && rx_hints_are_met(hints->rx_attr));
}

/* The mode of registration that the hints allow; -1 when none is. */
static int region_mode(const struct fi_info *hints, bool provider_keys) {
  int mode = REGION_MODE | (provider_keys ? FI_MR_PROV_KEY : 0);
  if (hints == NULL || hints->domain_attr == NULL) {
    return mode;
  }
  int allowed = hints->domain_attr->mr_mode;
  if (allowed == FI_MR_ENDPOINT) {
    allowed |= FI_MR_ALLOCATED; /* as cxi reads it */
  }
  if ((hints->caps != 0 && (hints->caps & FI_RMA) == 0)) {
    return mode & allowed;
  }
  return (mode & ~allowed) == 0 ? mode : -1;
}

static void fill_from_hints(struct fi_info *info, const struct fi_info *hints) {
  if (hints->caps != 0) {
    info->caps = hints->caps | FI_LOCAL_COMM | FI_REMOTE_COMM;
    if ((hints->caps & FI_RMA) != 0 &&
        (hints->caps & (FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE)) == 0) {
      info->caps |= FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE;
    }
  }
  if (hints->domain_attr != NULL && hints->domain_attr->threading != FI_THREAD_UNSPEC) {
    info->domain_attr->threading = hints->domain_attr->threading;
  }
  if (hints->domain_attr != NULL && hints->domain_attr->av_type != FI_AV_UNSPEC) {
    info->domain_attr->av_type = hints->domain_attr->av_type;
  }
  if (hints->tx_attr != NULL) {
    if (hints->tx_attr->size != 0) {
      info->tx_attr->size = hints->tx_attr->size;
    }
    info->tx_attr->op_flags = hints->tx_attr->op_flags;
    info->tx_attr->msg_order = hints->tx_attr->msg_order;
  }
  if (hints->rx_attr != NULL && hints->rx_attr->size != 0) {
    info->rx_attr->size = hints->rx_attr->size;
  }
}

/* A description that fi_freeinfo can free, or NULL. */
static struct fi_info *describe(unsigned domain, int mode, const struct fi_info *hints) {
  char name[] = {'c', 'x', 'i', (char)('0' + domain), '\0'};
  struct fi_info *info = fi_allocinfo();
  if (info == NULL) {
    return NULL;
  }
  info->caps = ENDPOINT_CAPS & ~(uint64_t)(hints == NULL ? 0 : FI_HMEM | FI_FENCE);
  info->addr_format = FI_ADDR_CXI;
  *info->ep_attr = (struct fi_ep_attr){
      .type = FI_EP_RDM,
      .protocol = FI_PROTO_CXI,
      .protocol_version = 1,
      .max_msg_size = SIM_MESSAGE_MOST,
      .max_order_waw_size = SIZE_MAX,
      .tx_ctx_cnt = 1,
      .rx_ctx_cnt = 1,
  };
  *info->tx_attr = (struct fi_tx_attr){
      .op_flags = 0,
      .msg_order = FI_ORDER_SAS | FI_ORDER_WAW | FI_ORDER_RMA_WAW | FI_ORDER_RMA_RAR,
      .inject_size = SIM_INJECT,
      .size = SIM_TX_DEFAULT,
      .iov_limit = 1,
      .rma_iov_limit = 1,
  };
  *info->rx_attr = (struct fi_rx_attr){
      .msg_order = FI_ORDER_SAS | FI_ORDER_WAW | FI_ORDER_RMA_WAW | FI_ORDER_RMA_RAR,
      .size = SIM_RX_DEFAULT,
      .iov_limit = 1,
  };
  *info->domain_attr = (struct fi_domain_attr){
      .name = strdup(name),
      .threading = FI_THREAD_SAFE,
      .control_progress = FI_PROGRESS_MANUAL,
      .data_progress = FI_PROGRESS_MANUAL,
      .resource_mgmt = FI_RM_ENABLED,
      .av_type = FI_AV_UNSPEC,
      .mr_mode = mode,
      .mr_key_size = (mode & FI_MR_PROV_KEY) != 0 ? 8 : 4,
      .cq_data_size = 8,
      .cq_cnt = 32,
      .ep_cnt = 128,
      .tx_ctx_cnt = 1,
      .rx_ctx_cnt = 1,
      .max_ep_tx_ctx = 1,
      .max_ep_rx_ctx = 1,
      .mr_iov_limit = 1,
      .mr_cnt = 100,
      .caps = FI_LOCAL_COMM | FI_REMOTE_COMM,
  };
  info->fabric_attr->name = strdup("cxi");
  info->fabric_attr->prov_version = FI_VERSION(0, 1);
  if (hints != NULL) {
    fill_from_hints(info, hints);
  }
  info->tx_attr->caps = info->caps & TX_CAPS;
  info->rx_attr->caps = info->caps & RX_CAPS;
  if (info->domain_attr->name == NULL || info->fabric_attr->name == NULL) {
    fi_freeinfo(info);
    return NULL;
  }
  return info;
}

/* With hints the best description of each domain; without, all. */
static int list(const struct fi_info *hints, int only, struct fi_info **info) {
  struct fi_info *first = NULL;
  struct fi_info **last = &first;
  for (unsigned domain = 0; domain < SIM_DEVICES; domain++) {
    if (only >= 0 && domain != (unsigned)only) {
      continue;
    }
    for (int keys = 1; keys >= 0; keys--) {
      int mode = region_mode(hints, keys == 1);
      if (mode < 0) {
        continue;
      }
      *last = describe(domain, mode, hints);
      if (*last == NULL) {
        fi_freeinfo(first);
        return -FI_ENOMEM;
      }
      last = &(*last)->next;
      if (hints != NULL) {
        break;
      }
    }
  }
  *info = first;
  return first == NULL ? -FI_ENODATA : 0;
}

int sim_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags,
                const struct fi_info *hints, struct fi_info **info) {
  (void)version;
  (void)service;
  int only = -1;
  if (sim_environment_flag("FI_CXI_SIM_NO_DEVICE", false) || !hints_are_met(hints)) {
    return -FI_ENODATA;
  }
  if (node != NULL) {
    only = sim_domain_index(node);
    if ((flags & FI_SOURCE) == 0 || only < 0) {
      return -FI_EINVAL;
    }
  }
  if (hints != NULL && hints->domain_attr != NULL && hints->domain_attr->name != NULL) {
    int named = sim_domain_index(hints->domain_attr->name);
    if (only >= 0 && only != named) {
      return -FI_ENODATA;
    }
    only = named;
  }
  struct fi_info *inner = NULL;
  int status = sim_inner_getinfo(&inner);
  if (status != 0) {
    return status;
  }
  fi_freeinfo(inner);
  return list(hints, only, info);
}
