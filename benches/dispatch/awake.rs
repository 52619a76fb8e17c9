//! Processors that are kept awake.
//!
//! A server with one client sleeps between its requests, and with it the processor. On a virtual machine the hypervisor
//! takes the sleeping processor away, and the time that it takes to get it back is longer than the request itself, and
//! differs from hour to hour. A process for each processor, which runs only when nothing else wants to, keeps them.

use std::hint::black_box;
use std::mem::{size_of, zeroed};

use crate::child::{Child, Job};

/// Processes that keep all processors awake until this is dropped.
pub(crate) struct Awake {
    _children: Vec<Child>,
}

impl Awake {
    /// One process for each processor that this one may use.
    pub(crate) fn keep() -> Self {
        let processors = processors();
        let children = processors.iter().map(|number| Child::start(Job::StayAwake, &[&number.to_string()]));
        Self { _children: children.collect() }
    }
}

/// What each of the processes does: nothing, for ever, whenever nobody else has anything to do on its processor.
pub(crate) fn stay_awake(arguments: &[String]) -> ! {
    let processor = arguments.first().and_then(|number| number.parse().ok());
    let processor = processor.expect("the bench names a processor");
    yield_to_all();
    bind_to(processor);
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// The processors that this process may use.
fn processors() -> Vec<usize> {
    // SAFETY: a set of processors is bits, and none is set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the set has the size that is said.
    let status = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    assert_eq!(status, 0, "a process can ask for its processors");
    // SAFETY: the numbers are within the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&number| unsafe { libc::CPU_ISSET(number, &set) }).collect()
}

fn bind_to(processor: usize) {
    // SAFETY: a set of processors is bits, and none is set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the number is one of `processors`, and so within the set.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set has the size that is said.
    let status = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    assert_eq!(status, 0, "processor {processor} can be used");
}

/// Runs from now on only when no other thread on the processor can.
fn yield_to_all() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live through the call.
    let status = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) };
    assert_eq!(status, 0, "a process may lower its own priority");
}
