//! What a report of measurements tells of the machine they were taken on: without it nobody can compare two of them.

use std::{fs, thread};

/// The name of the processor; none where the system does not tell.
pub fn processor() -> Option<String> {
    model(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// How many processors this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The load average of the last minute; none where the system does not tell.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// The name of the processor in `/proc/cpuinfo`.
fn model(cpuinfo: &str) -> Option<String> {
    let named = |key: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    named("model name").or_else(|| named("Hardware")).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        let text = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: Some CPU @ 3 GHz\n";
        assert_eq!(model(text).as_deref(), Some("Some CPU @ 3 GHz"));
        assert_eq!(model("processor : 0\n"), None);
    }
}
