//! Rebuilds the server when the pages were built anew: their file names change with their content, so the compiler's
//! own list of embedded files does not notice new ones.

fn main() {
    // A path that does not exist counts as changed at every build. If the sources are read-only, so it stays.
    let _ = std::fs::create_dir_all("web/dist");
    println!("cargo::rerun-if-changed=web/dist");
}
