defmodule Soak.Measure do
  # What is measured, shown, and complained of.

  @doc "Bytes that the operating system has given to this node."
  def resident do
    [_, pages | _] = "/proc/self/statm" |> File.read!() |> String.split()
    String.to_integer(pages) * 4096
  end

  def mb(bytes), do: :erlang.float_to_binary(bytes / (1024 * 1024), decimals: 1)

  def fail(why) do
    IO.puts("FINDING: #{why}")
    System.halt(1)
  end
end
