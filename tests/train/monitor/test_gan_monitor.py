"""GANMonitor warns once when the discriminator costs more than 1 dB of PSNR."""

from vistok.train.monitor.gan_monitor import GANMonitor


def test_a_discriminator_that_costs_more_than_1_db_is_reported_once(caplog):
    monitor = GANMonitor(start_step=100)
    for step, psnr in ((50, 20.0), (100, 24.0), (150, 23.2), (200, 22.9), (250, 21.0)):
        monitor.update({"step": step, "train_psnr": psnr})
    assert caplog.text.count("has driven PSNR down by 1.1 dB") == 1
    assert "step 200" in caplog.text


def test_without_lines_before_the_start_the_first_line_is_what_psnr_is_compared_with(caplog):
    monitor = GANMonitor(start_step=0)
    for step, psnr in ((10, 15.0), (20, 18.0), (30, 17.0)):
        monitor.update({"step": step, "train_psnr": psnr})
    assert not caplog.text


def test_a_run_that_goes_on_compares_with_what_it_had_before(caplog):
    past = [{"step": step, "train_psnr": 20.0 + step} for step in (1, 2, 3, 4)]
    monitor = GANMonitor(start_step=3, past=past)
    monitor.update({"step": 5, "train_psnr": 22.5})
    assert not caplog.text
    monitor.update({"step": 6, "train_psnr": 21.9})
    assert "has driven PSNR down by 1.1 dB" in caplog.text


def test_paths_are_compared_each_with_itself(caplog):
    """Taken in turn, the two paths may lie far apart without any discriminator."""
    monitor = GANMonitor(start_step=2)
    for step in range(1, 7):
        path, psnr = (("discrete", 15.0), ("continuous", 25.0))[step % 2]
        monitor.update({"step": step, "train_psnr": psnr, f"{path}_train_psnr": psnr})
    assert not caplog.text
    monitor.update({"step": 7, "train_psnr": 23.0, "continuous_train_psnr": 23.0})
    assert "driven PSNR down by 2.0 dB since its start (continuous_train_psnr" in caplog.text
