//! The supervisor as a program of its own: `supervisor supervisor --dir DIR`. The real one is a mode of `nomad`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args()
        .skip_while(|a| a != "--dir")
        .nth(1)
        .ok_or("usage: supervisor supervisor --dir DIR")?;
    nomad_supervisor::run(nomad_supervisor::SupervisorConfig::new(dir))?;
    Ok(())
}
