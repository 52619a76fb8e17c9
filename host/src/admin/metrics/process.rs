//! The host's process, by the names that Prometheus' own clients have for it:
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use std::fmt;

use procfs::WithCurrentSystemInfo;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Without /proc there is nothing to say of it.
        let Ok(process) = procfs::process::Process::myself() else { return Ok(()) };
        let Ok(stat) = process.stat() else { return Ok(()) };
        let mut write = |name, help, unit: Option<&Unit>, metric: &dyn EncodeMetric| {
            let metric_encoder = encoder.encode_descriptor(name, help, unit, metric.metric_type())?;
            metric.encode(metric_encoder)
        };
        let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        write("process_cpu", "CPU time", Some(&Unit::Seconds), &ConstCounter::new(seconds))?;
        let resident = stat.rss_bytes().get();
        write("process_resident_memory", "Resident memory", Some(&Unit::Bytes), &ConstGauge::new(resident))?;
        write("process_virtual_memory", "Virtual memory", Some(&Unit::Bytes), &ConstGauge::new(stat.vsize))?;
        write("process_threads", "Threads", None, &ConstGauge::new(stat.num_threads))?;
        if let Ok(booted) = procfs::boot_time_secs() {
            let started = booted as f64 + stat.starttime as f64 / procfs::ticks_per_second() as f64;
            write(
                "process_start_time",
                "Start time since 1970",
                Some(&Unit::Seconds),
                &ConstGauge::new(started),
            )?;
        }
        if let Ok(open) = process.fd_count() {
            write("process_open_fds", "Open file descriptors", None, &ConstGauge::new(open as u64))?;
        }
        if let Ok(limits) = process.limits()
            && let procfs::process::LimitValue::Value(most) = limits.max_open_files.soft_limit
        {
            write(
                "process_max_fds",
                "Maximum number of open file descriptors",
                None,
                &ConstGauge::new(most),
            )?;
        }
        Ok(())
    }
}
