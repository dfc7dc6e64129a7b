//! Preference objectives for denoisers and flows: schedules, samplers, losses over denoising errors, small denoisers and worlds with exact
//! rewards. Any denoiser serves: the losses see errors, the samplers see a function.
