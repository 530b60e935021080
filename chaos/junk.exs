defmodule Chaos.Junk do
  # What fills mailboxes.

  def fill(pid, count), do: for(n <- 1..count, do: send(pid, {:junk, n}))

  def flush do
    receive do
      {:junk, _} -> flush()
    after
      0 -> :ok
    end
  end
end
