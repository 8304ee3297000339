//! Parses the command line and hands over to `cli`.

fn main() -> std::process::ExitCode {
    fieldgate::cli::run()
}
