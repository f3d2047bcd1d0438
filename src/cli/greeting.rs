//! `hwpool` alone: what a newcomer needs, and what to do next.

use std::io::{self, Write};
use std::process::ExitCode;

use super::exit::USAGE;

/// Five verbs, each with what it does.
const GREETING: &str = "\
hwpool drives hardware buffer managers: PCIe devices that keep the free list of
packet buffers. A model of one is built in, so that nothing is needed to begin.

  hwpool bringup sim:bmu   prove a device rung by rung, here the model
  hwpool top sim:bmu       watch pools and their device, live
  hwpool devices           which PCI functions this machine has
  hwpool doctor DEVICE     what keeps hwpool from one, and what to do about it
  hwpool bind DEVICE       take it, with a way back

Next: hwpool bringup sim:bmu
More: hwpool --help lists all verbs, hwpool help VERB tells of one.
";

/// Greets on stderr: who left the verb out in a script gets nothing on stdout, and the exit code of a usage error.
pub(crate) fn greet() -> ExitCode {
    let _ = io::stderr().write_all(GREETING.as_bytes());
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    /// Returns the commands of the greeting, as far as they go.
    fn commands() -> Vec<Vec<&'static str>> {
        let lines = GREETING.lines();
        let lines =
            lines.filter_map(|line| line.strip_prefix("  ").or(line.strip_prefix("Next: ")));
        let command = |line: &'static str| line.split("  ").next().expect("a command");
        lines
            .map(|line| command(line).split(' ').collect())
            .collect()
    }

    #[test]
    fn it_has_five_verbs_that_there_are() {
        let commands = commands();
        assert_eq!(commands.len(), 6, "five, and the next step");
        for command in commands {
            let words = command.iter().map(|word| match *word {
                "DEVICE" => "0000:01:00.0",
                word => word,
            });
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{command:?}: {error}");
            }
        }
    }

    #[test]
    fn it_fits_a_small_terminal() {
        assert!(GREETING.lines().count() < 24);
        assert!(GREETING.lines().all(|line| line.len() <= 80));
    }
}
