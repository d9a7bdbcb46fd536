//! What `twarga::driver::Driver` promises, held against the driver in memory,
//! against libvirt's own test driver, and against real VMs.
//!
//! The real ones need libvirt (`scripts/start-libvirt`) and the micro image
//! (in `$TWARGA_IMAGES`, else `target/test/images`); without these they fail.
#![cfg(feature = "libvirt")]
// The helpers are tests too; clippy takes only functions marked as such for them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

#[path = "driver_contract/bench.rs"]
mod bench;
#[path = "driver_contract/common.rs"]
mod common;
#[path = "driver_contract/guest.rs"]
mod guest;
#[path = "driver_contract/outage.rs"]
mod outage;

use bench::Bench;

macro_rules! contract {
    ($driver:ident: $($scenario:ident)*) => {
        mod $driver {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    super::common::$scenario(super::Bench::$driver()).await;
                }
            )*
        }
    };
}

macro_rules! contracts {
    ($($driver:ident: [$($more:ident)*])*) => {
        $(contract! { $driver:
            everything_may_be_done_twice
            undefining_switches_off
            unknown_domains_are_told_apart
            a_domain_that_is_off_says_so
            a_paused_domain_is_not_started
            a_restarted_domain_runs
            events_come_soon
            lists_know_prefixes
            names_may_hold_anything_that_xml_minds
            a_name_belongs_to_one_domain
            defining_changes_and_renames
            running_domains_are_measured
            a_shutdown_switches_off
            the_backend_tells_of_itself
            many_at_once
            $($more)*
        })*
    };
}

contracts! {
    mock: []
    test: [folders_are_made_and_minded]
    qemu: [folders_are_made_and_minded]
}
