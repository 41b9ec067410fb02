/* Fabrics and event queues; fi_trywait, which belongs to the fabric. */
#include "sim.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

int sim_no_bind(struct fid *fid, struct fid *other, uint64_t flags) {
  (void)fid;
  (void)other;
  (void)flags;
  return -FI_ENOSYS;
}

int sim_no_control(struct fid *fid, int command, void *arg) {
  (void)fid;
  (void)command;
  (void)arg;
  return -FI_ENOSYS;
}

int sim_no_ops_open(struct fid *fid, const char *name, uint64_t flags, void **ops, void *context) {
  (void)fid;
  (void)name;
  (void)flags;
  (void)ops;
  (void)context;
  return -FI_ENOSYS;
}

/* --- event queues: all that ever comes is that an endpoint is gone --- */

static int eq_close(struct fid *fid) {
  struct sim_eq *eq = sim_container(fid, struct sim_eq, fid.fid);
  if (atomic_load(&eq->users) != 0) {
    return -FI_EBUSY;
  }
  atomic_fetch_sub(&eq->fabric->users, 1);
  sim_count(SIM_EQS, -1);
  pthread_mutex_destroy(&eq->lock);
  free(eq);
  return 0;
}

static ssize_t eq_read(struct fid_eq *fid, uint32_t *event, void *buf, size_t len,
                       uint64_t flags) {
  (void)event;
  (void)buf;
  (void)len;
  (void)flags;
  struct sim_eq *eq = sim_container(fid, struct sim_eq, fid);
  pthread_mutex_lock(&eq->lock);
  bool failed = eq->failed;
  pthread_mutex_unlock(&eq->lock);
  return failed ? -FI_EAVAIL : -FI_EAGAIN;
}

static ssize_t eq_readerr(struct fid_eq *fid, struct fi_eq_err_entry *buf, uint64_t flags) {
  struct sim_eq *eq = sim_container(fid, struct sim_eq, fid);
  ssize_t status = -FI_EAGAIN;
  pthread_mutex_lock(&eq->lock);
  if (eq->failed) {
    *buf = eq->error;
    eq->failed = (flags & FI_PEEK) != 0;
    status = sizeof *buf;
  }
  pthread_mutex_unlock(&eq->lock);
  return status;
}

static ssize_t eq_write(struct fid_eq *fid, uint32_t event, const void *buf, size_t len,
                        uint64_t flags) {
  (void)fid;
  (void)event;
  (void)buf;
  (void)len;
  (void)flags;
  return -FI_ENOSYS;
}

static ssize_t eq_sread(struct fid_eq *fid, uint32_t *event, void *buf, size_t len, int timeout,
                        uint64_t flags) {
  (void)timeout;
  return eq_read(fid, event, buf, len, flags);
}

static const char *eq_strerror(struct fid_eq *fid, int prov_errno, const void *err_data, char *buf,
                               size_t len) {
  (void)fid;
  (void)prov_errno;
  (void)err_data;
  static const char text[] = "simulated cxi: the device is gone";
  if (buf != NULL && len > 0) {
    snprintf(buf, len, "%s", text);
  }
  return text;
}

static struct fi_ops eq_fid_ops = {
    .size = sizeof(struct fi_ops),
    .close = eq_close,
    .bind = sim_no_bind,
    .control = sim_no_control,
    .ops_open = sim_no_ops_open,
};

static struct fi_ops_eq eq_ops = {
    .size = sizeof(struct fi_ops_eq),
    .read = eq_read,
    .readerr = eq_readerr,
    .write = eq_write,
    .sread = eq_sread,
    .strerror = eq_strerror,
};

static int eq_open(struct fid_fabric *fabric, struct fi_eq_attr *attr, struct fid_eq **eq,
                   void *context) {
  if (attr != NULL && attr->wait_obj != FI_WAIT_NONE && attr->wait_obj != FI_WAIT_UNSPEC) {
    return -FI_ENOSYS;
  }
  struct sim_eq *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return -FI_ENOMEM;
  }
  made->fid.fid = (struct fid){.fclass = FI_CLASS_EQ, .context = context, .ops = &eq_fid_ops};
  made->fid.ops = &eq_ops;
  made->fabric = sim_container(fabric, struct sim_fabric, fid);
  pthread_mutex_init(&made->lock, NULL);
  atomic_fetch_add(&made->fabric->users, 1);
  sim_count(SIM_EQS, 1);
  *eq = &made->fid;
  return 0;
}

void sim_eq_endpoint_gone(struct sim_eq *eq, struct fid *endpoint) {
  pthread_mutex_lock(&eq->lock);
  eq->failed = true;
  eq->error = (struct fi_eq_err_entry){
      .fid = endpoint,
      .context = endpoint->context,
      .err = FI_EIO,
      .prov_errno = SIM_ERROR_GONE,
  };
  pthread_mutex_unlock(&eq->lock);
}

/* --- fabrics --- */

static int fabric_close(struct fid *fid) {
  struct sim_fabric *fabric = sim_container(fid, struct sim_fabric, fid.fid);
  if (atomic_load(&fabric->users) != 0) {
    return -FI_EBUSY;
  }
  fi_close(&fabric->inner->fid);
  fi_freeinfo(fabric->inner_info);
  sim_count(SIM_FABRICS, -1);
  free(fabric);
  return 0;
}

static int fabric_trywait(struct fid_fabric *fid, struct fid **fids, int count) {
  (void)fid;
  for (int i = 0; i < count; i++) {
    int status = -FI_ENOSYS;
    if (fids[i]->fclass == FI_CLASS_CQ) {
      status = sim_cq_trywait(sim_container(fids[i], struct sim_cq, fid.fid));
    }
    if (status != 0) {
      return status;
    }
  }
  return 0;
}

static int no_passive_endpoint(struct fid_fabric *fabric, struct fi_info *info,
                               struct fid_pep **pep, void *context) {
  (void)fabric;
  (void)info;
  (void)pep;
  (void)context;
  return -FI_ENOSYS;
}

static int no_wait_set(struct fid_fabric *fabric, struct fi_wait_attr *attr,
                       struct fid_wait **wait) {
  (void)fabric;
  (void)attr;
  (void)wait;
  return -FI_ENOSYS;
}

static struct fi_ops fabric_fid_ops = {
    .size = sizeof(struct fi_ops),
    .close = fabric_close,
    .bind = sim_no_bind,
    .control = sim_no_control,
    .ops_open = sim_no_ops_open,
};

static struct fi_ops_fabric fabric_ops = {
    .size = sizeof(struct fi_ops_fabric),
    .domain = sim_domain_open,
    .passive_ep = no_passive_endpoint,
    .eq_open = eq_open,
    .wait_open = no_wait_set,
    .trywait = fabric_trywait,
};

int sim_fabric_open(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context) {
  if (attr->name != NULL && strcmp(attr->name, "cxi") != 0) {
    return -FI_ENODATA;
  }
  struct sim_fabric *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return -FI_ENOMEM;
  }
  int status = sim_inner_getinfo(&made->inner_info);
  if (status == 0) {
    status = fi_fabric(made->inner_info->fabric_attr, &made->inner, NULL);
  }
  if (status != 0) {
    fi_freeinfo(made->inner_info);
    free(made);
    return status;
  }
  made->fid.fid =
      (struct fid){.fclass = FI_CLASS_FABRIC, .context = context, .ops = &fabric_fid_ops};
  made->fid.ops = &fabric_ops;
  made->fid.api_version = attr->api_version;
  sim_count(SIM_FABRICS, 1);
  *fabric = &made->fid;
  return 0;
}
