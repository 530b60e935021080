defmodule RateLimiterTest do
  use ExUnit.Case

  @day 86_400_000
  @noon div(System.system_time(:millisecond), @day) * @day + div(@day, 2)

  test "allows so many calls in a window, and again in the next" do
    assert for(_ <- 1..4, do: RateLimiter.hit(:ada, 3, @day, @noon)) ==
             [allow: 2, allow: 1, allow: 0, deny: div(@day, 2)]

    assert RateLimiter.hit(:grace, 3, @day, @noon) == {:allow, 2}
    assert RateLimiter.hit(:ada, 3, @day, @noon + @day) == {:allow, 2}
  end

  test "deletes what is over" do
    now = @noon + 10 * @day
    assert RateLimiter.hit(:early, 1, 1000, now) == {:allow, 0}
    assert RateLimiter.hit(:late, 1, 1000, now + 1000) == {:allow, 0}
    assert RateLimiter.sweep(now + 1000) > 0
    assert RateLimiter.hit(:early, 1, 1000, now) == {:allow, 0}
    assert RateLimiter.hit(:late, 1, 1000, now + 1000) == {:deny, 1000}
  end

  test "allows no call too many, and none too few, though the owner is killed" do
    clients = for _ <- 1..4, do: Task.async(fn -> allowed(2000) end)
    kill_owner()
    assert clients |> Task.await_many(:infinity) |> Enum.sum() == 1000
  end

  defp allowed(calls) do
    Enum.count(1..calls, fn _ ->
      match?({:allow, _}, RateLimiter.hit(:hasty, 1000, @day, @noon + 20 * @day))
    end)
  end

  defp kill_owner do
    owner = Process.whereis(RateLimiter)
    Process.exit(owner, :kill)
    await_next(owner)
  end

  # Until its init/1 is through.
  defp await_next(owner) do
    case Process.whereis(RateLimiter) do
      next when next in [nil, owner] -> await_next(owner)
      next -> assert Blanket.Table.info(:sys.get_state(next), :owner) == next
    end
  end
end
