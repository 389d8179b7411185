#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tradewind_fuzz::join_request(input);
});
