defmodule :telemetry do
  @moduledoc "Stands for the application of that name, which is no dependency."

  @doc "Sends the events about what is kept as `ref`, or has that path, to the calling process from now on."
  def attach(ref) do
    Registry.start_link(keys: :duplicate, name: __MODULE__)
    |> case do
      {:ok, registry} -> Process.unlink(registry)
      {:error, {:already_started, _}} -> :ok
    end

    {:ok, _} = Registry.register(__MODULE__, ref, nil)
    :ok
  end

  def execute(event, measurements, metadata) do
    about = Map.get(metadata, :kept_as, metadata[:path])
    for {pid, _} <- attached(about), do: send(pid, {event, measurements, metadata})
    if metadata[:name] == :fails_in_telemetry, do: raise("a handler fails")
    :ok
  end

  defp attached(ref) do
    Registry.lookup(__MODULE__, ref)
  rescue
    ArgumentError -> []
  end
end
