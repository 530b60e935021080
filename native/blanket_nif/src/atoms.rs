//! The atoms that this library speaks.

rustler::atoms! {
    // "true" and "false" are Rust's keywords.
    yes = "true",
    no = "false",
    undefined,
    end_of_table = "$end_of_table",
    nif_panicked,
}
