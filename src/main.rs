//! The binary: everything it does is in [`twarga::cli`].

fn main() -> std::process::ExitCode {
    twarga::cli::main()
}
