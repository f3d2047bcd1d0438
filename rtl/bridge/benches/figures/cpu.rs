//! How long threads have run on a processor, as the kernel counts it (Documentation/scheduler/sched-stats.rst).

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Returns the time of all threads of a process together.
pub(crate) fn of_process(id: u32) -> Result<Duration, Box<dyn Error>> {
    sum(&format!("/proc/{id}/task"), |_| true)
}

/// Returns the time of the thread of this process that has a name.
pub(crate) fn of_thread(name: &str) -> Result<Duration, Box<dyn Error>> {
    sum("/proc/self/task", |its| its == name)
}

fn sum(tasks: &str, is_asked: impl Fn(&str) -> bool) -> Result<Duration, Box<dyn Error>> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(tasks)? {
        let task = task?.path();
        if is_asked(read(&task, "comm")?.trim_end()) {
            let stat = read(&task, "schedstat")?;
            let ran = stat.split(' ').next().unwrap_or_default();
            nanoseconds += ran.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn read(task: &Path, file: &str) -> Result<String, Box<dyn Error>> {
    Ok(fs::read_to_string(task.join(file))?)
}
