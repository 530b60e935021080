defmodule Bench.Quiet do
  @moduledoc """
  Waits until the OS process does nothing: what one subject left to be done in the background, such as
  giving back memory, must not run while another is timed.
  """

  @pause 20

  def await, do: await(cpu_time(), 100)

  defp await(_before, 0), do: :ok

  defp await(before, tries) do
    Process.sleep(@pause)
    now = cpu_time()
    if now - before > 1, do: await(now, tries - 1), else: :ok
  end

  # In hundredths of a second.
  defp cpu_time do
    case File.read("/proc/self/stat") do
      {:ok, stat} ->
        [_, fields] = String.split(stat, ") ", parts: 2)
        [utime, stime] = fields |> String.split() |> Enum.slice(11, 2)
        String.to_integer(utime) + String.to_integer(stime)

      {:error, _} ->
        0
    end
  end
end
