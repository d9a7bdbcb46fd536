//! Figures of all domains in one request. `virt` has a wrapper, but it leaks
//! what libvirt returns.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::CStr;
use std::time::Duration;

use uuid::Uuid;
use virt::connect::Connect;
use virt::error::Error as VirtError;
use virt::sys;

use super::fault;
use crate::driver::DomainStats;
use crate::error::Result;

/// How often a busy domain is asked, and the pause between. Another client that
/// measures at the same moment keeps it busy for some milliseconds.
const ATTEMPTS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(40);

/// Figures of the active domains whose name starts with `prefix`, but for those
/// that stay busy. Empty where the backend keeps none.
pub(super) fn collect(connect: &Connect, prefix: &str) -> Result<Vec<(Uuid, DomainStats)>> {
    let mut measured = HashMap::new();
    for attempt in 1..=ATTEMPTS {
        let records = match all_active(connect) {
            Ok(records) => records,
            Err(e) if fault::is_unsupported(&e) => break,
            Err(e) => return Err(fault::translate("measure the VMs", &e)),
        };
        let mut busy = false;
        for (_, uuid, params) in records.read().filter(|(name, ..)| name.starts_with(prefix)) {
            if is_whole(&params) {
                measured.entry(uuid).or_insert_with(|| figures(&params));
            } else {
                busy |= !measured.contains_key(&uuid);
            }
        }
        if !busy || attempt == ATTEMPTS {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(measured.into_iter().collect())
}

fn all_active(connect: &Connect) -> Result<Records, VirtError> {
    let kinds = sys::VIR_DOMAIN_STATS_STATE
        | sys::VIR_DOMAIN_STATS_CPU_TOTAL
        | sys::VIR_DOMAIN_STATS_BALLOON
        | sys::VIR_DOMAIN_STATS_VCPU
        | sys::VIR_DOMAIN_STATS_INTERFACE
        | sys::VIR_DOMAIN_STATS_BLOCK;
    let active = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE;
    // A domain that is busy (being started, saved, …) must not hold up the others.
    match Records::get(connect, kinds, active | sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT) {
        Err(e) if fault::is_unsupported(&e) => Records::get(connect, kinds, active),
        other => other,
    }
}

/// Numbers by libvirt's names for them, such as `cpu.time`.
type Params = HashMap<String, u64>;

/// False for a domain that was busy: libvirt then leaves out what it would have to
/// ask the emulator for, and a counter that drops to nothing would be a lie. Such a
/// domain is measured the next time.
fn is_whole(params: &Params) -> bool {
    params.contains_key("block.0.rd.bytes") || !params.keys().any(|key| key.starts_with("vcpu."))
}

fn figures(params: &Params) -> DomainStats {
    const KIB: u64 = 1024;
    let get = |key: &str| params.get(key).copied();
    let indexed = |group: &str, what: &str| {
        let count = get(&format!("{group}.count")).unwrap_or(0).min(4096);
        let found: Vec<u64> = (0..count).filter_map(|i| get(&format!("{group}.{i}.{what}"))).collect();
        (!found.is_empty()).then(|| found.iter().fold(0_u64, |sum, n| sum.saturating_add(*n)))
    };
    let vcpus = || {
        // Numbers of vcpus may have holes, so the count is no bound for them.
        let is_time = |key: &str| key.starts_with("vcpu.") && key.ends_with(".time");
        params.iter().filter(|(key, _)| is_time(key)).map(|(_, n)| *n).fold(0_u64, u64::saturating_add)
    };
    DomainStats {
        cpu_time_ns: get("cpu.time").unwrap_or_else(vcpus),
        rss_bytes: get("balloon.rss").unwrap_or(0).saturating_mul(KIB),
        ram_bytes: get("balloon.current").or(get("balloon.maximum")).unwrap_or(0).saturating_mul(KIB),
        disk_read_bytes: indexed("block", "rd.bytes").unwrap_or(0),
        disk_write_bytes: indexed("block", "wr.bytes").unwrap_or(0),
        // The overlay is the first disk of every domain of ours.
        disk_used_bytes: get("block.0.physical").or(get("block.0.allocation")).unwrap_or(0),
        net_rx_bytes: indexed("net", "rx.bytes"),
        net_tx_bytes: indexed("net", "tx.bytes"),
    }
}

/// What libvirt returned; freed when dropped.
struct Records {
    list: *mut sys::virDomainStatsRecordPtr,
    count: usize,
}

impl Records {
    fn get(connect: &Connect, kinds: u32, flags: u32) -> Result<Self, VirtError> {
        let mut list: *mut sys::virDomainStatsRecordPtr = std::ptr::null_mut();
        // SAFETY: the connection is open; libvirt writes a list that is ours to
        // free, or leaves the null there and answers -1.
        let count =
            unsafe { sys::virConnectGetAllDomainStats(connect.as_ptr(), kinds, &raw mut list, flags) };
        match usize::try_from(count) {
            Ok(count) if !list.is_null() => Ok(Records { list, count }),
            Ok(_) => Ok(Records { list, count: 0 }),
            Err(_) => Err(VirtError::last_error()),
        }
    }

    /// Name, identity and numbers of each.
    fn read(&self) -> impl Iterator<Item = (String, Uuid, Params)> + '_ {
        (0..self.count).filter_map(|i| {
            // SAFETY: `list` holds `count` pointers to records, all valid until it
            // is freed, which `self` (borrowed here) does.
            let record = unsafe { (*self.list.add(i)).as_ref() }?;
            let (name, uuid) = identity(record.dom)?;
            let params = match usize::try_from(record.nparams) {
                // SAFETY: libvirt says that there are so many, one after another,
                // and the record owns them.
                Ok(n) if n > 0 && !record.params.is_null() => unsafe {
                    std::slice::from_raw_parts(record.params, n)
                },
                Ok(_) | Err(_) => &[],
            };
            Some((name, uuid, params.iter().filter_map(number).collect()))
        })
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        // SAFETY: the list came from virConnectGetAllDomainStats and is freed
        // once; libvirt takes a null for an empty one.
        unsafe { sys::virDomainStatsRecordListFree(self.list) };
    }
}

fn identity(domain: sys::virDomainPtr) -> Option<(String, Uuid)> {
    let mut bytes = [0_u8; sys::VIR_UUID_BUFLEN as usize];
    // SAFETY: the record keeps the domain's handle alive while it is read, the
    // buffer has the documented size, and the name belongs to the handle: it is
    // copied before the handle can go.
    let name = unsafe {
        if sys::virDomainGetUUID(domain, bytes.as_mut_ptr()) != 0 {
            return None;
        }
        let name = sys::virDomainGetName(domain);
        if name.is_null() {
            return None;
        }
        CStr::from_ptr(name).to_string_lossy().into_owned()
    };
    Some((name, Uuid::from_bytes(bytes)))
}

/// A parameter's name and value, if it is a number that is not negative.
fn number(param: &sys::virTypedParameter) -> Option<(String, u64)> {
    let name: Vec<u8> = param.field.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    // SAFETY: the type tells which member of the union libvirt has set.
    let value = unsafe {
        match param.type_.cast_unsigned() {
            sys::VIR_TYPED_PARAM_INT => u64::try_from(param.value.i).ok()?,
            sys::VIR_TYPED_PARAM_UINT => u64::from(param.value.ui),
            sys::VIR_TYPED_PARAM_LLONG => u64::try_from(param.value.l).ok()?,
            sys::VIR_TYPED_PARAM_ULLONG => param.value.ul,
            _ => return None,
        }
    };
    Some((String::from_utf8(name).ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_domain_is_left_out() {
        let params = |keys: &[&str]| keys.iter().map(|k| ((*k).to_owned(), 1)).collect();
        assert!(is_whole(&params(&["state.state", "vcpu.current", "block.0.rd.bytes"])));
        assert!(!is_whole(&params(&["state.state", "vcpu.current", "block.count"])));
        // libvirt's test driver knows states only.
        assert!(is_whole(&params(&["state.state"])));
    }

    #[test]
    fn figures_are_summed_and_missing_ones_told_apart() {
        let params = [
            ("balloon.current", 1024),
            ("balloon.rss", 10),
            ("vcpu.0.time", 5),
            ("vcpu.2.time", 6),
            ("block.count", 2),
            ("block.0.rd.bytes", 100),
            ("block.1.rd.bytes", 1),
            ("block.0.physical", 4096),
        ];
        let params: Params = params.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        let s = figures(&params);
        assert_eq!((s.cpu_time_ns, s.rss_bytes, s.ram_bytes), (11, 10 << 10, 1 << 20));
        assert_eq!((s.disk_read_bytes, s.disk_used_bytes, s.net_rx_bytes), (101, 4096, None));
    }
}
